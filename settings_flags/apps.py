from django.apps import AppConfig


class SettingsFlagsConfig(AppConfig):
    name = "settings_flags"
    verbose_name = "Settings"
