# The roles of permissions.yaml, which is part of the Python package: the one list of permissions.

locals {
  accounts = yamldecode(file("${path.module}/../../plugins/bakehouse/cloud/permissions.yaml"))

  grants = flatten([for name, account in local.accounts : account.grants])

  names = {
    for grant in local.grants : grant.role => flatten([
      for use in grant.permissions : use.names if !contains(var.left_out, use.for)
    ])...
  }

  # two accounts have the role that reads secrets
  roles = { for role, names in local.names : role => sort(distinct(flatten(names))) if length(flatten(names)) > 0 }
}
