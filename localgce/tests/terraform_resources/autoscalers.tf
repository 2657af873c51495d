resource "google_compute_autoscaler" "web" {
  name   = "web"
  target = google_compute_instance_group_manager.scaled.id

  autoscaling_policy {
    max_replicas    = var.changed ? 6 : 5
    min_replicas    = 1
    cooldown_period = 60

    cpu_utilization {
      target = var.changed ? 0.7 : 0.5
    }
  }
}

resource "google_compute_instance_group_manager" "scaled" {
  name               = "scaled"
  base_instance_name = "scaled"

  version {
    instance_template = google_compute_instance_template.web.id
  }
}

resource "google_compute_region_autoscaler" "web" {
  name   = "web"
  target = google_compute_region_instance_group_manager.scaled.id

  autoscaling_policy {
    max_replicas    = var.changed ? 6 : 5
    min_replicas    = 1
    cooldown_period = 60
    mode            = "ONLY_SCALE_OUT"

    load_balancing_utilization {
      target = 0.8
    }
  }
}

resource "google_compute_region_instance_group_manager" "scaled" {
  name               = "scaled"
  base_instance_name = "scaled-in-region"

  version {
    instance_template = google_compute_region_instance_template.web.self_link
  }
}
