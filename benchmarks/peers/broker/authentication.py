"""Token authentication."""

from rest_framework.authentication import TokenAuthentication


class BearerAuthentication(TokenAuthentication):
    """`Authorization: Bearer <token>`."""

    keyword = "Bearer"
