"""Settings of the plain peer."""

import os

from broker.settings import *
from broker.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "plain"]
ENQUEUE = "plain.tasks.enqueue"
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
