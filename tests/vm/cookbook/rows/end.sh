
before=$(read_rows)
write_row "row-$(($(wc -w <<<"$before") + 1))"
rows=$(read_rows | sort | paste -sd, -)
echo "cookbook: rows $rows, own $(own)"
