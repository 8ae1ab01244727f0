"""The back office's view of accounts. Books are read here, never edited: money moves only by postings."""

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import Balance, Customer, Limits, Position, Posting, Token, Transfer


class ReadOnlyAdmin(admin.ModelAdmin):
    """Lists and shows; adds, changes and deletes nothing. Never counts a whole table."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin):
    list_display = ("email", "name", "is_active", "is_staff", "joined_at")
    search_fields = ("=email", "=id")
    exclude = ("password",)


@admin.register(Balance)
class BalanceAdmin(ReadOnlyAdmin):
    list_display = ("customer", "amount", "held", "available", "modified_at")
    list_select_related = ("customer",)
    search_fields = ("=customer__email",)


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin):
    list_display = ("customer", "ticker", "quantity", "held", "average_price")
    list_select_related = ("customer",)
    search_fields = ("=customer__email", "=ticker")


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    list_display = ("id", "customer", "kind", "ticker", "change", "total", "price", "created_at")
    list_select_related = ("customer",)
    search_fields = ("=customer__email", "=cause")


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ("id", "customer", "type", "amount", "created_at")
    list_select_related = ("customer",)
    search_fields = ("=customer__email", "=id")


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    list_display = ("customer", "name", "scopes", "created_at", "expires_at", "last_used_at")
    list_select_related = ("customer",)
    search_fields = ("=customer__email",)
    exclude = ("token_hash", "secret_hash")


@admin.register(Limits)
class LimitsAdmin(admin.ModelAdmin):
    """Gives a customer other limits than everybody has."""

    list_display = ("customer", "reads_a_minute", "orders_a_minute")
    list_select_related = ("customer",)
    search_fields = ("=customer__email",)
    raw_id_fields = ("customer",)
