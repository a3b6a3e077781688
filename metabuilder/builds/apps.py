from django.apps import AppConfig


class BuildsConfig(AppConfig):
    name = "metabuilder.builds"
    label = "builds"
    verbose_name = "Builds"
