resource "google_compute_health_check" "tcp" {
  name               = "tcp"
  description        = var.changed ? "after" : "before"
  check_interval_sec = var.changed ? 9 : 5
  timeout_sec        = 5

  tcp_health_check {
    port = var.changed ? 8080 : 80
  }
}

resource "google_compute_health_check" "http" {
  name                = "http"
  healthy_threshold   = 3
  unhealthy_threshold = var.changed ? 4 : 3

  http_health_check {
    port         = 80
    request_path = var.changed ? "/ready" : "/"
    host         = "example.com"
  }
}

resource "google_compute_region_health_check" "https" {
  name = "https"

  https_health_check {
    port_name          = "https"
    port_specification = "USE_NAMED_PORT"
    request_path       = var.changed ? "/ready" : "/"
  }

  log_config {
    enable = var.changed
  }
}

resource "google_compute_project_metadata_item" "one" {
  key   = "who"
  value = var.changed ? "eve" : "ann"
}
