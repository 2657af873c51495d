app() { curl --silent --show-error "${@:2}" "http://127.0.0.1:8080/notes/$1"; }
read_rows() { app rows --fail || true; }
write_row() { app rows --request PUT --header 'Content-Type: text/plain' --data-binary "$1"; }
own() { echo none; }
