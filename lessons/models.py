"""What a curriculum defines, as the importer placed it in the database."""

from django.db import models


class Tier(models.TextChoices):
    """Who sees a lesson; tiers nest: local shows all, ptr shows prod and ptr."""

    PROD = "prod"
    PTR = "ptr"
    LOCAL = "local"


class Curriculum(models.Model):
    """The curriculum that is in force: one row.

    ``revision`` changes with every import that changed anything; answers made from the
    curriculum may be kept as long as it stays.
    """

    singleton = models.BooleanField(default=True, unique=True, editable=False)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    website = models.CharField(max_length=500, blank=True)
    a_ver = models.CharField("Antidote version", max_length=50, blank=True)
    git_root = models.CharField(max_length=500, blank=True)
    version = models.CharField(max_length=64, help_text="Git revision or digest of the folder.")
    path = models.CharField(max_length=1000, help_text="Where it was imported from.")
    revision = models.PositiveBigIntegerField(default=1)
    imported_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "curricula"
        constraints = [
            models.CheckConstraint(condition=models.Q(singleton=True), name="curriculum_one_row"),
        ]

    def __str__(self) -> str:
        return self.name


class Collection(models.Model):
    """A group of lessons, usually a vendor's or a community's."""

    slug = models.CharField(max_length=100, unique=True)
    title = models.CharField(max_length=200)
    image = models.CharField(max_length=500, blank=True)
    website = models.CharField(max_length=500, blank=True)
    contact_email = models.CharField(max_length=200, blank=True)
    brief_description = models.TextField(blank=True)
    long_description = models.TextField(blank=True)
    type = models.CharField(max_length=50, blank=True)
    tier = models.CharField(max_length=10, choices=Tier.choices, default=Tier.PROD)
    file = models.CharField(max_length=1000, help_text="Below the curriculum's folder.")

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Image(models.Model):
    """What endpoints are made of. A lesson keeps the definitions that it was imported with."""

    class Flavor(models.TextChoices):
        TRUSTED = "trusted"
        UNTRUSTED = "untrusted"
        LEGACY = "legacy"

    slug = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    flavor = models.CharField(max_length=20, choices=Flavor.choices, default=Flavor.UNTRUSTED)
    enable_forwarding = models.BooleanField(default=False)
    network_interfaces = models.JSONField(default=list)
    ssh_user = models.CharField(max_length=100, blank=True)
    ssh_password = models.CharField(max_length=200, blank=True)
    config_user = models.CharField(max_length=100, blank=True)
    config_password = models.CharField(max_length=200, blank=True)
    resources = models.JSONField(
        default=dict, blank=True, help_text="Requests and limits; empty: the installation's."
    )
    file = models.CharField(max_length=1000, help_text="Below the curriculum's folder.")

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Bundle(models.Model):
    """A lesson's folder as a reproducible tar.gz, kept once however many lessons share it."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    content = models.BinaryField()
    size = models.PositiveIntegerField(help_text="Bytes.")

    def __str__(self) -> str:
        return self.sha256[:12]


class Lesson(models.Model):
    """One immutable version of a lesson, addressed by its content.

    ``digest`` covers the slug, the folder, the normalised definitions of its images and the
    importer's schema version. ``spec`` is the runtime description with images resolved (the
    form ``lessons.specs`` reads), which a livelesson copies when it starts. ``missing_images``
    names images nobody defines: such a lesson is listed but cannot be started. Only ``file`` and
    ``replaced_at`` ever change: where it stands and until when it was current is not content.
    """

    slug = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    category = models.CharField(max_length=100, blank=True)
    tier = models.CharField(max_length=10, choices=Tier.choices)
    collection = models.CharField(max_length=100, blank=True, help_text="Slug of a collection.")
    description = models.TextField(blank=True)
    short_description = models.TextField(blank=True)
    diagram = models.CharField(max_length=500, blank=True)
    video = models.CharField(max_length=500, blank=True)
    ready_delay_seconds = models.PositiveIntegerField(default=0)
    prerequisites = models.JSONField(default=list, help_text="Slugs, in the author's order.")
    tags = models.JSONField(default=list)
    authors = models.JSONField(default=list, help_text="Objects with name and link.")
    missing_images = models.JSONField(default=list)
    spec = models.JSONField()
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="lessons")
    file = models.CharField(max_length=1000, help_text="Below the curriculum's folder.")
    created_at = models.DateTimeField(auto_now_add=True)
    replaced_at = models.DateTimeField(
        null=True, blank=True, help_text="When its slug came to mean something else."
    )

    class Meta:
        ordering = ["slug", "-created_at"]
        indexes = [models.Index(fields=["slug"], name="lesson_slug")]

    def __str__(self) -> str:
        return f"{self.slug} ({self.digest[:12]})"


class CurrentLesson(models.Model):
    """Which version of a lesson its slug means now; a slug without a row is not offered."""

    slug = models.CharField(max_length=100, primary_key=True)
    lesson = models.OneToOneField(Lesson, on_delete=models.PROTECT, related_name="current")

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Stage(models.Model):
    """One step of a lesson, with its guide. ``position`` counts from 0."""

    class GuideType(models.TextChoices):
        MARKDOWN = "markdown"
        JUPYTER = "jupyter"

    lesson = models.ForeignKey(Lesson, on_delete=models.CASCADE, related_name="stages")
    position = models.PositiveSmallIntegerField()
    description = models.TextField(blank=True)
    guide_type = models.CharField(max_length=20, choices=GuideType.choices)
    guide = models.TextField(blank=True, help_text="Contents of the guide file.")
    video = models.CharField(max_length=500, blank=True)
    objectives = models.JSONField(
        default=list, blank=True, help_text="What everybody may read of them; all is in spec."
    )
    gate = models.BooleanField(
        default=False, help_text="The next stage opens when the objectives are passed."
    )
    solutions = models.JSONField(
        default=dict, blank=True, help_text="By endpoint: a script that solves it, for its author."
    )

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["lesson", "position"], name="stage_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.description}"


class Endpoint(models.Model):
    """One machine of a lesson. ``position`` is its place in the lesson file."""

    class ConfigurationType(models.TextChoices):
        NONE = ""
        PYTHON = "python"
        ANSIBLE = "ansible"
        NAPALM = "napalm"

    lesson = models.ForeignKey(Lesson, on_delete=models.CASCADE, related_name="endpoints")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=63)
    image = models.CharField(max_length=100, help_text="Slug of an image.")
    configuration_type = models.CharField(
        max_length=20, choices=ConfigurationType.choices, blank=True
    )
    additional_ports = models.JSONField(default=list)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["lesson", "name"], name="endpoint_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Presentation(models.Model):
    """One way for a learner into an endpoint: a terminal or a web page."""

    class Type(models.TextChoices):
        SSH = "ssh"
        HTTP = "http"

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="presentations")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=63)
    port = models.PositiveIntegerField()
    type = models.CharField(max_length=10, choices=Type.choices)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "name"], name="presentation_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Connection(models.Model):
    """A link of its own between two endpoints of a lesson."""

    lesson = models.ForeignKey(Lesson, on_delete=models.CASCADE, related_name="connections")
    position = models.PositiveSmallIntegerField()
    a = models.CharField(max_length=63)
    b = models.CharField(max_length=63)
    subnet = models.CharField(max_length=50, blank=True)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.a} - {self.b}"
