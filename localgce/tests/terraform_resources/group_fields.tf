# Fields that fewer configurations have.

resource "google_compute_health_check" "ssl" {
  name = "ssl"

  ssl_health_check {
    port     = 443
    request  = var.changed ? "hi" : "ho"
    response = "there"
  }
}

resource "google_compute_health_check" "http2" {
  name = "http2"

  http2_health_check {
    port         = 443
    proxy_header = var.changed ? "PROXY_V1" : "NONE"
  }
}

resource "google_compute_health_check" "grpc" {
  name = "grpc"

  grpc_health_check {
    port              = 443
    grpc_service_name = var.changed ? "two" : "one"
  }
}

resource "google_compute_instance_template" "full" {
  name                       = "full"
  machine_type               = "n1-standard-1"
  can_ip_forward             = true
  instance_description       = "of the group"
  min_cpu_platform           = "Intel Skylake"
  metadata_startup_script    = "echo"
  region                     = "us-central1"
  resource_policies          = [google_compute_resource_policy.consistent.id]
  key_revocation_action_type = "STOP"

  disk {
    source_snapshot   = google_compute_snapshot.described.self_link
    boot              = true
    disk_name         = "own-name"
    device_name       = "boot"
    mode              = "READ_WRITE"
    resource_policies = [google_compute_resource_policy.hourly.id]
  }

  network_interface {
    subnetwork         = google_compute_subnetwork.ranges.name
    subnetwork_project = "demo"
    network_ip         = "10.30.0.44"
    nic_type           = "VIRTIO_NET"
  }

  guest_accelerator {
    type  = "nvidia-tesla-t4"
    count = 1
  }

  scheduling {
    preemptible                 = true
    automatic_restart           = false
    provisioning_model          = "SPOT"
    instance_termination_action = "STOP"
    on_host_maintenance         = "TERMINATE"
  }

  service_account {
    email  = "builder@demo.iam.gserviceaccount.com"
    scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
  }

  advanced_machine_features {
    threads_per_core = 1
  }

  reservation_affinity {
    type = "ANY_RESERVATION"
  }
}

resource "google_compute_region_instance_template" "full" {
  name_prefix  = "full-"
  machine_type = "e2-small"
  labels       = { a = "b" }
  metadata     = { a = "b" }
  tags         = ["a"]

  disk {
    source_image = "debian-cloud/debian-12"
    boot         = true
    disk_type    = "pd-ssd"
    labels       = { of = "it" }
  }

  disk {
    source      = google_compute_disk.licensed.self_link
    auto_delete = false
    boot        = false
    mode        = "READ_ONLY"
  }

  network_interface {
    network    = google_compute_network.routed.self_link
    subnetwork = google_compute_subnetwork.ranges.self_link
    access_config {}
  }

  shielded_instance_config {
    enable_secure_boot = true
  }
}

resource "google_compute_instance_template" "small" {
  name         = "small"
  machine_type = "e2-small"
  disk {
    source_image = "debian-cloud/debian-12"
    boot         = true
  }
  network_interface {
    network = "default"
    access_config {}
  }
}

resource "google_compute_instance_template" "medium" {
  name         = "medium"
  machine_type = "e2-medium"
  disk {
    source_image = "debian-cloud/debian-12"
    boot         = true
  }
  network_interface {
    network = "default"
    access_config {}
  }
}

resource "google_compute_instance_group_manager" "canary" {
  name                           = "canary"
  base_instance_name             = "canary"
  target_size                    = 4
  wait_for_instances             = true
  list_managed_instances_results = "PAGINATED"

  version {
    name              = "old"
    instance_template = google_compute_instance_template.small.self_link
  }

  version {
    name              = "new"
    instance_template = google_compute_instance_template.medium.self_link
    target_size {
      percent = var.changed ? 50 : 25
    }
  }

  all_instances_config {
    metadata = { k = var.changed ? "2" : "1" }
    labels   = { l = "v" }
  }

  instance_lifecycle_policy {
    force_update_on_repair    = var.changed ? "YES" : "NO"
    default_action_on_failure = "REPAIR"
  }

  update_policy {
    type                           = "PROACTIVE"
    minimal_action                 = "REFRESH"
    most_disruptive_allowed_action = "REPLACE"
    max_surge_percent              = 25
    max_unavailable_percent        = 50
  }
}

resource "google_compute_instance_group_manager" "ips" {
  name               = "ips"
  base_instance_name = "ips"
  target_size        = 1

  version {
    instance_template = google_compute_instance_template.small.self_link
  }

  stateful_internal_ip {
    interface_name = "nic0"
    delete_rule    = var.changed ? "ON_PERMANENT_INSTANCE_DELETION" : "NEVER"
  }

  stateful_external_ip {
    interface_name = "nic0"
    delete_rule    = "ON_PERMANENT_INSTANCE_DELETION"
  }

  update_policy {
    type                  = "OPPORTUNISTIC"
    minimal_action        = "REPLACE"
    max_surge_fixed       = 0
    max_unavailable_fixed = 1
    replacement_method    = "RECREATE"
  }
}

resource "google_compute_region_instance_group_manager" "canary" {
  name                             = "canary"
  base_instance_name               = "rcanary"
  target_size                      = 3
  distribution_policy_target_shape = var.changed ? "BALANCED" : "EVEN"
  wait_for_instances               = true

  version {
    instance_template = google_compute_instance_template.small.self_link
  }

  version {
    name              = "new"
    instance_template = google_compute_instance_template.medium.self_link
    target_size {
      fixed = var.changed ? 2 : 1
    }
  }

  update_policy {
    type                         = "PROACTIVE"
    minimal_action               = "REPLACE"
    instance_redistribution_type = "NONE"
    max_surge_fixed              = 3
    max_unavailable_fixed        = 3
  }

  auto_healing_policies {
    health_check      = google_compute_health_check.grpc.id
    initial_delay_sec = 30
  }
}

resource "google_compute_autoscaler" "schedules" {
  name   = "schedules"
  target = google_compute_instance_group_manager.scheduled.id

  autoscaling_policy {
    max_replicas = 5
    min_replicas = 0

    scale_in_control {
      time_window_sec = 300
      max_scaled_in_replicas {
        fixed = 1
      }
    }

    metric {
      name                       = "pubsub.googleapis.com/subscription/num_undelivered_messages"
      filter                     = "resource.type = pubsub_subscription"
      single_instance_assignment = 65535
    }

    scaling_schedules {
      name                  = "noon"
      schedule              = var.changed ? "0 12 * * *" : "0 11 * * *"
      min_required_replicas = 2
      duration_sec          = 3600
    }
  }
}

resource "google_compute_instance_group_manager" "scheduled" {
  name               = "scheduled"
  base_instance_name = "scheduled"
  version {
    instance_template = google_compute_instance_template.small.self_link
  }
}
