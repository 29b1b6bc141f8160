# How the peers are installed, started and stopped. For tests/interop/dynamo-peers/run and
# emulator/benches/dynamo_peers/run; both are at the root of the checkout when they source this.

readonly PEERS=$PWD/${CARGO_TARGET_DIR:-target}/dynamo-peers
readonly PINS=$PWD/tests/interop/dynamo-peers
children=()

# Installs dynalite and moto, once for each version.
install_peers() {
  local wanted
  for tool in node npm python3 curl; do
    if ! command -v "$tool" >/dev/null; then
      echo "$tool is missing" >&2
      return 1
    fi
  done
  mkdir -p "$PEERS/npm"
  wanted=$(cat "$PINS/package-lock.json" "$PINS/requirements.txt" | cksum)
  if [[ -f $PEERS/stamp && $(<"$PEERS/stamp") == "$wanted" ]]; then
    return
  fi
  cp "$PINS"/{.npmrc,package.json,package-lock.json} "$PEERS/npm"
  npm ci --prefix "$PEERS/npm" --no-audit --no-fund --loglevel error >&2 || return 1
  python3 -m venv "$PEERS/python" || return 1
  "$PEERS/python/bin/pip" install --quiet --disable-pip-version-check \
    --requirement "$PINS/requirements.txt" >&2 || return 1
  echo "$wanted" >"$PEERS/stamp"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start COMMAND...: in the background, until stop_all.
start() {
  "$@" >/dev/null 2>&1 &
  children+=($!)
}

start_dynalite() {
  start node "$PEERS/npm/node_modules/dynalite/cli.js" --host 127.0.0.1 --port "$1" \
    --createTableMs 0 --deleteTableMs 0 --updateTableMs 0
}

start_moto() {
  start "$PEERS/python/bin/moto_server" -H 127.0.0.1 -p "$1"
}

# await ADDRESS...: until each answers.
await() {
  local address attempt
  for address in "$@"; do
    for ((attempt = 0; ; attempt++)); do
      curl --silent --max-time 1 --output /dev/null "http://$address/" && break
      if ((attempt > 300)); then
        echo "nothing answers at $address" >&2
        return 1
      fi
      sleep 0.1
    done
  done
}

stop_all() {
  local child
  for child in "${children[@]}"; do
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  done
  children=()
}

# peer_version NAME: as it is pinned.
peer_version() {
  case $1 in
    dynalite) sed -n 's/.*"dynalite": "\(.*\)".*/\1/p' "$PINS/package.json" ;;
    moto) sed -n 's/^moto.*==//p' "$PINS/requirements.txt" ;;
  esac
}
