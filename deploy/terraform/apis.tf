locals {
  apis = setunion(
    ["cloudresourcemanager", "compute", "iam", "iamcredentials", "storage"],
    var.signing_key == null ? [] : ["cloudkms"],
    length(setunion(var.builder_secrets, var.member_secrets)) == 0 ? [] : ["secretmanager"],
  )
}

resource "google_project_service" "api" {
  for_each = local.apis

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}
