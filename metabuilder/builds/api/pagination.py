from rest_framework.pagination import PageNumberPagination


class Pagination(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class SmallPagination(Pagination):
    """For rows that carry patches or logs."""

    page_size = 20
    max_page_size = 50
