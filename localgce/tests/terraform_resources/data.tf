# what a configuration reads of resources that it does not make, or not itself

data "google_compute_image" "web" {
  family     = "web"
  depends_on = [google_compute_image.of_disk]
}

data "google_compute_images" "debian" {
  project = "debian-cloud"
  filter  = "family = debian-12"
}

data "google_compute_zones" "there" {}

data "google_compute_regions" "there" {}

data "google_compute_machine_types" "small" {
  filter = "name = 'e2-small'"
  zone   = "us-central1-a"
}

data "google_compute_network" "default" {
  name = "default"
}

data "google_compute_subnetwork" "default" {
  name = "default"
}

data "google_compute_instance" "plain" {
  name = google_compute_instance.plain.name
}

data "google_compute_instance_serial_port" "plain" {
  instance = google_compute_instance.plain.name
  zone     = "us-central1-a"
  port     = 1
}

data "google_compute_disk" "of_image" {
  name = google_compute_disk.of_image.name
}

data "google_compute_snapshot" "of_disk" {
  name = google_compute_snapshot.of_disk.name
}

data "google_compute_address" "external" {
  name = google_compute_address.external.name
}

data "google_compute_addresses" "all" {
  depends_on = [google_compute_address.internal]
}

data "google_compute_health_check" "tcp" {
  name = google_compute_health_check.tcp.name
}

data "google_compute_resource_policy" "daily" {
  name = google_compute_resource_policy.daily.name
}

data "google_compute_router" "nat" {
  name    = google_compute_router.nat.name
  network = google_compute_network.custom.self_link
}

data "google_compute_instance_group" "own" {
  name = google_compute_instance_group.own.name
}

data "google_compute_instance_group_manager" "web" {
  name = google_compute_instance_group_manager.web.name
  zone = "us-central1-a"
}

data "google_compute_region_instance_group" "web" {
  self_link = google_compute_region_instance_group_manager.web.instance_group
}

data "google_compute_instance_template" "next" {
  name = google_compute_instance_template.next.name
}
