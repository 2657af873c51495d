"""The ids of tasks that local builds have besides those of the bake's DAG."""

KEEP_IMAGE = "keep_image"  # in the place of a promotion
