from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("builds", "0003_carry_v2_rows")]

    operations = [
        migrations.AddField(
            model_name="buildrun",
            name="lost_holders",
            field=models.PositiveIntegerField(db_default=0),
        ),
    ]
