#!/bin/sh
# Runs the shop, with people in it, and auditadmin beside it on one throw-away
# audit database. `make example` builds both and calls this.
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/auditadmin-example-XXXXXX")
password=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
admin= shop=
finish() {
  trap - EXIT INT TERM
  [ -z "$shop" ] || kill "$shop" 2>/dev/null || true
  [ -z "$admin" ] || kill "$admin" 2>/dev/null || true
  wait
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 0' INT TERM

echo "$password" | bin/auditadmin user create demo --role superuser --password-stdin --db "$folder/audit.db" 2>/dev/null
bin/auditadmin serve --db "$folder/audit.db" --addr "${ADMIN_ADDR:-127.0.0.1:8080}" 2>"$folder/admin.log" &
admin=$!
bin/shop -audit "$folder/audit.db" -db "$folder/shop.db" -spool "$folder/spool" -addr "${SHOP_ADDR:-127.0.0.1:8090}" -drive >"$folder/shop.log" 2>&1 &
shop=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do # both say that they serve
  grep -q serves "$folder/admin.log" && grep -q 'The shop' "$folder/shop.log" && break
  kill -0 "$admin" 2>/dev/null || break
  kill -0 "$shop" 2>/dev/null || break
  sleep 0.2
done
if ! grep -q serves "$folder/admin.log" || ! grep -q 'The shop' "$folder/shop.log"; then
  cat "$folder/admin.log" "$folder/shop.log" >&2
  exit 1
fi
echo
cat "$folder/shop.log"
echo "  The admin $(sed -n 's/.* at \(http[^ ]*\)$/\1/p' "$folder/admin.log")   sign in as demo, password \"$password\""
echo "  Anna, Ben and Carla are at work in the shop, and two strangers too. Stop it with Ctrl-C."
echo
wait "$shop"
