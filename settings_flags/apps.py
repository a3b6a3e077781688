from django.apps import AppConfig


class SettingsFlagsConfig(AppConfig):
    name = "settings_flags"
    verbose_name = "Settings"

    def ready(self) -> None:
        from settings_flags.platform import platform_settings

        platform_settings()  # a bad variable stops start-up with its name
