"""What the OpenAPI description says of the curriculum's part; nothing is rendered by these."""

from rest_framework import serializers

from lessons.models import Presentation, Stage, Tier


class AuthorDocument(serializers.Serializer[object]):
    name = serializers.CharField()
    link = serializers.CharField(allow_blank=True)


class ToldObjectiveDocument(serializers.Serializer[object]):
    slug = serializers.CharField()
    description = serializers.CharField()
    optional = serializers.BooleanField(help_text="Does not count for the stage.")
    needs = serializers.ListField(
        child=serializers.CharField(), help_text="Objectives of the stage that come before."
    )


class StageDocument(serializers.Serializer[object]):
    description = serializers.CharField(allow_blank=True)
    guide_type = serializers.ChoiceField(choices=Stage.GuideType.choices)
    video = serializers.CharField(allow_blank=True)
    objectives = ToldObjectiveDocument(many=True)
    gate = serializers.BooleanField(
        help_text="Whether the next stage opens only when the objectives are passed."
    )


class LessonPresentationDocument(serializers.Serializer[object]):
    name = serializers.CharField()
    port = serializers.IntegerField()
    type = serializers.ChoiceField(choices=Presentation.Type.choices)


class LessonEndpointDocument(serializers.Serializer[object]):
    name = serializers.CharField()
    image = serializers.CharField()
    configuration_type = serializers.CharField(allow_blank=True)
    additional_ports = serializers.ListField(child=serializers.IntegerField())
    presentations = LessonPresentationDocument(many=True)


class ConnectionDocument(serializers.Serializer[object]):
    a = serializers.CharField()
    b = serializers.CharField()
    subnet = serializers.CharField(allow_blank=True)


class ListedLessonDocument(serializers.Serializer[object]):
    slug = serializers.CharField()
    name = serializers.CharField()
    category = serializers.CharField(allow_blank=True)
    tier = serializers.ChoiceField(choices=Tier.choices)
    collection = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    short_description = serializers.CharField(allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField())
    prerequisites = serializers.ListField(child=serializers.CharField())
    stages = serializers.IntegerField(help_text="How many.")
    startable = serializers.BooleanField(help_text="False where an image is not defined.")


class LessonListDocument(serializers.Serializer[object]):
    lessons = ListedLessonDocument(many=True)


class LessonDocument(ListedLessonDocument):
    stages = StageDocument(many=True)  # type: ignore[assignment]
    digest = serializers.CharField(help_text="Names this version of the lesson.")
    diagram = serializers.CharField(allow_blank=True)
    video = serializers.CharField(allow_blank=True)
    all_prerequisites = serializers.ListField(
        child=serializers.CharField(), help_text="Flattened, depth first."
    )
    missing_images = serializers.ListField(child=serializers.CharField())
    authors = AuthorDocument(many=True)
    endpoints = LessonEndpointDocument(many=True)
    connections = ConnectionDocument(many=True)


class ListedCollectionDocument(serializers.Serializer[object]):
    slug = serializers.CharField()
    title = serializers.CharField()
    image = serializers.CharField(allow_blank=True)
    website = serializers.CharField(allow_blank=True)
    contact_email = serializers.CharField(allow_blank=True)
    brief_description = serializers.CharField(allow_blank=True)
    long_description = serializers.CharField(allow_blank=True)
    type = serializers.CharField(allow_blank=True)
    tier = serializers.ChoiceField(choices=Tier.choices)


class CollectionListDocument(serializers.Serializer[object]):
    collections = ListedCollectionDocument(many=True)


class CollectionDocument(ListedCollectionDocument):
    lessons = ListedLessonDocument(many=True)


class CurriculumDocument(serializers.Serializer[object]):
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    website = serializers.CharField(allow_blank=True)
    a_ver = serializers.CharField(allow_blank=True)
    git_root = serializers.CharField(allow_blank=True)
    version = serializers.CharField()


LISTED_LESSON_EXAMPLE = {
    "slug": "linux-basics",
    "name": "Linux Basics",
    "category": "fundamentals",
    "tier": "prod",
    "collection": "",
    "description": "Find your way around a shell.",
    "short_description": "Linux",
    "tags": ["linux", "shell"],
    "prerequisites": [],
    "stages": 2,
    "startable": True,
}
LESSON_EXAMPLE = LISTED_LESSON_EXAMPLE | {
    "stages": [
        {
            "description": "Look around",
            "guide_type": "markdown",
            "video": "",
            "objectives": [
                {
                    "slug": "make-notes",
                    "description": "Make the file notes.txt.",
                    "optional": False,
                    "needs": [],
                }
            ],
            "gate": False,
        },
        {
            "description": "Change things",
            "guide_type": "markdown",
            "video": "",
            "objectives": [],
            "gate": False,
        },
    ],
    "digest": "6b1f0c2a9d",
    "diagram": "",
    "video": "",
    "all_prerequisites": [],
    "missing_images": [],
    "authors": [{"name": "A. Author", "link": "https://example.org/author"}],
    "endpoints": [
        {
            "name": "linux1",
            "image": "utility",
            "configuration_type": "python",
            "additional_ports": [],
            "presentations": [{"name": "cli", "port": 22, "type": "ssh"}],
        }
    ],
    "connections": [],
}
COLLECTION_EXAMPLE = {
    "slug": "community",
    "title": "Community",
    "image": "",
    "website": "https://example.org",
    "contact_email": "lessons@example.org",
    "brief_description": "Lessons by everybody.",
    "long_description": "",
    "type": "community",
    "tier": "prod",
}
CURRICULUM_EXAMPLE = {
    "name": "example",
    "description": "An example curriculum",
    "website": "https://example.org",
    "a_ver": "0.6.0",
    "git_root": "https://example.org/curriculum",
    "version": "v1.2.0",
}
