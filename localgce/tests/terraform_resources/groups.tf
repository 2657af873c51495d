resource "google_compute_instance_group" "own" {
  name        = "own"
  description = "by hand"
  network     = "projects/demo/global/networks/default"
  instances   = var.changed ? [google_compute_instance.plain.self_link] : []

  named_port {
    name = "http"
    port = var.changed ? 8080 : 80
  }
}

resource "google_compute_instance_group_manager" "web" {
  name               = "web"
  base_instance_name = "web"
  description        = "of the tests"
  target_size        = var.changed ? 3 : 2

  version {
    name              = "one"
    instance_template = var.changed ? google_compute_instance_template.next.self_link_unique : google_compute_instance_template.web.self_link_unique
  }

  named_port {
    name = "http"
    port = var.changed ? 8080 : 80
  }

  update_policy {
    type                  = "PROACTIVE"
    minimal_action        = "REPLACE"
    max_surge_fixed       = var.changed ? 2 : 1
    max_unavailable_fixed = 1
    replacement_method    = "SUBSTITUTE"
  }

  auto_healing_policies {
    health_check      = google_compute_health_check.tcp.id
    initial_delay_sec = var.changed ? 100 : 300
  }
}

resource "google_compute_instance_group_manager" "stateful" {
  name               = "stateful"
  base_instance_name = "stateful"

  version {
    instance_template = google_compute_instance_template.web.id
  }

  stateful_disk {
    device_name = "data"
    delete_rule = var.changed ? "ON_PERMANENT_INSTANCE_DELETION" : "NEVER"
  }

  update_policy {
    type                  = "OPPORTUNISTIC"
    minimal_action        = "REPLACE"
    max_surge_fixed       = 0
    max_unavailable_fixed = 1
    replacement_method    = "RECREATE"
  }
}

resource "google_compute_per_instance_config" "one" {
  name                             = "stateful-1"
  instance_group_manager           = google_compute_instance_group_manager.stateful.name
  remove_instance_state_on_destroy = true

  preserved_state {
    metadata = var.changed ? { which = "first" } : { which = "one" }
  }
}

resource "google_compute_region_instance_group_manager" "web" {
  name                      = "region"
  base_instance_name        = "region"
  target_size               = var.changed ? 4 : 3
  distribution_policy_zones = ["us-central1-a", "us-central1-b", "us-central1-c"]

  version {
    instance_template = google_compute_region_instance_template.web.self_link
  }

  update_policy {
    type                         = "PROACTIVE"
    minimal_action               = "RESTART"
    max_surge_fixed              = 3
    max_unavailable_fixed        = var.changed ? 3 : 0
    instance_redistribution_type = "NONE"
  }
}

resource "google_compute_region_per_instance_config" "one" {
  name                             = "region-1"
  region_instance_group_manager    = google_compute_region_instance_group_manager.stateful.name
  remove_instance_state_on_destroy = true

  preserved_state {
    metadata = var.changed ? { which = "first" } : { which = "one" }
  }
}

resource "google_compute_region_instance_group_manager" "stateful" {
  name               = "region-stateful"
  base_instance_name = "region-stateful"

  version {
    instance_template = google_compute_instance_template.web.id
  }

  update_policy {
    type                         = "OPPORTUNISTIC"
    minimal_action               = "REPLACE"
    max_surge_fixed              = 0
    max_unavailable_fixed        = 3
    instance_redistribution_type = "NONE"
  }
}

resource "google_compute_instance_group" "bare" {
  name = "bare"

  lifecycle {
    ignore_changes = [instances, named_port] # they are resources of their own
  }
}

resource "google_compute_instance_group_membership" "plain" {
  instance       = google_compute_instance.plain.self_link
  instance_group = google_compute_instance_group.bare.name
}

resource "google_compute_instance_group_named_port" "http" {
  group = google_compute_instance_group.bare.id
  name  = "http"
  port  = 80
}
