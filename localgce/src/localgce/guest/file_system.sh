# Writes a folder's files as ext4 onto standard output, a sparse file.
# Arguments: the folder, the file system's UUID, its offset in bytes, its size in blocks of 4 KiB.
# Features are named, so that the disk is the same whatever mke2fs.conf this host has; GRUB 2.06
# must be able to read them. The file is all zeros already: nothing is left for lazy threads.
set -eu
PATH=$PATH:/sbin:/usr/sbin
MKE2FS_CONFIG=$(mktemp)
export MKE2FS_CONFIG
trap 'rm -f "$MKE2FS_CONFIG"' EXIT
# device files are the kernel's business, and a normal user cannot make them
rm -rf "$1"/dev/*
cat > "$MKE2FS_CONFIG" <<CONF
[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
    blocksize = 4096
    inode_size = 256
    inode_ratio = 16384
[fs_types]
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
CONF
mke2fs -q -F -t ext4 -b 4096 -m 1 -L root -U "$2" -d "$1" \
    -E "offset=$3,lazy_itable_init=1,lazy_journal_init=1,nodiscard" /dev/fd/3 "$4" 3>&1 1>&2
