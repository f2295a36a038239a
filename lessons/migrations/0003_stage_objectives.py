from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lessons', '0002_image_resources'),
    ]

    operations = [
        migrations.AddField(
            model_name='stage',
            name='gate',
            field=models.BooleanField(default=False, help_text='The next stage opens when the objectives are passed.'),
        ),
        migrations.AddField(
            model_name='stage',
            name='objectives',
            field=models.JSONField(blank=True, default=list, help_text='What everybody may read of them; all is in spec.'),
        ),
        migrations.AddField(
            model_name='stage',
            name='solutions',
            field=models.JSONField(blank=True, default=dict, help_text='By endpoint: a script that solves it, for its author.'),
        ),
    ]
