from django.apps import AppConfig


class SettingsFlagsConfig(AppConfig):
    name = "settings_flags"
    verbose_name = "Settings"

    def ready(self) -> None:
        from metabuilder.builds.api.hooks import on_run_created
        from settings_flags.api.changes import set_on_creation
        from settings_flags.platform import platform_settings

        on_run_created.append(set_on_creation)
        platform_settings()  # a bad variable stops start-up with its name
