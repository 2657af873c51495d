# The recipe as somebody bakes it with Packer; packer.py writes the values and chooses a source.
variable "endpoint" { type = string }
variable "project" { type = string }
variable "zone" { type = string }
variable "machine_type" { type = string }
variable "instance" { type = string }
variable "image" { type = string }
variable "labels" { type = map(string) }
variable "metadata" { type = map(string) }
variable "script" { type = string }
variable "wait" { type = string }

source "googlecompute" "recipe" {
  custom_endpoints = { compute = var.endpoint }
  access_token     = "any" # localgce asks for none, and Packer for Google's own without it
  project_id       = var.project
  zone             = var.zone

  source_image_project_id = ["debian-cloud"]
  source_image_family     = "debian-12"
  machine_type            = var.machine_type
  disk_type               = "pd-balanced"
  disk_size               = 10
  instance_name           = var.instance
  metadata                = var.metadata
  temporary_key_pair_type = "ed25519" # the kindest: RSA takes seconds

  image_name    = var.image
  image_family  = "packer"
  image_labels  = var.labels
  state_timeout = "30m"
}

build {
  # Packer's usual way: it logs in, and runs the script there.
  source "googlecompute.recipe" {
    name         = "login"
    ssh_username = "packer"
  }

  # The quickest way: a startup script installs, and its line on the serial port ends the wait.
  source "googlecompute.recipe" {
    name                = "startup_script"
    startup_script_file = var.script
    wrap_startup_script = false # the wrapper tells of the end by gcloud
    communicator        = "none"
    omit_external_ip    = true
    use_internal_ip     = true
  }

  provisioner "shell" {
    only            = ["googlecompute.login"]
    script          = var.script
    execute_command = "sudo bash {{ .Path }}"
  }

  provisioner "shell-local" {
    only   = ["googlecompute.startup_script"]
    inline = [var.wait]
  }
}
