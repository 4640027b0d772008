# For image-check.sh: a Docker engine of its own, in a folder that it is given.
# It leaves the machine's firewall alone: containers reach each other, and their published ports are reached through
# Docker's own proxy, but they reach nothing outside. Only builds do, on the host's network.
docker=/usr/bin/docker # Debian's client has BuildKit inside; others look for a plugin
engine='' bridge=''

install_engine() { # exits with 1 where none can be had
  missing=()
  for package in docker.io mmdebstrap eatmydata; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no engine: it takes Debian and root to install ${missing[*]}"
    return 1
  fi
  apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"
}

start_engine() { # FOLDER
  folder=$1
  export DOCKER_HOST=unix://$folder/docker.sock DOCKER_CONFIG=$folder/config DOCKER_BUILDKIT=1
  # In memory where there is plenty: to remove so many files takes a disk half a minute.
  mkdir "$folder/data"
  [ "$(awk '/^MemAvailable/ { print int($2 / 2 ^ 20) }' /proc/meminfo)" -lt 8 ] ||
    mount -t tmpfs -o size=6g cepo-image "$folder/data"
  ! ip link show docker0 >/dev/null 2>&1 || bridge=kept
  dockerd -H "$DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
    --iptables=false --ip6tables=false --ip-masq=false >"$folder/dockerd.log" 2>&1 &
  engine=$!
  for _ in {1..120}; do
    ! $docker version >/dev/null 2>&1 || return 0
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.25
  done
  tail -15 "$folder/dockerd.log"
  echo "the engine did not start"
  return 1
}

stop_engine() {
  [ -n "$engine" ] || return 0
  $docker ps -aq | xargs -r $docker rm -f >/dev/null 2>&1
  $docker network ls -q --filter type=custom | xargs -r $docker network rm >/dev/null 2>&1
  kill "$engine"
  wait "$engine" 2>/dev/null
  [ "$bridge" = kept ] || ip link del docker0 2>/dev/null
  umount "$folder"/exec/netns/* "$folder/data" 2>/dev/null # the handle that --network host leaves mounted
}

import_images() { # FOLDER of the tar files
  path='ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  $docker import -c "$path" -c 'ENV LANG=C.UTF-8' "$1/base-image.tar" python:3.12-slim
  # the names in docker/compose.yaml, with the commands that the images of these names have
  $docker import -c "$path" -c 'CMD ["redis-server"]' "$1/stand-ins.tar" redis:7.2-alpine
  $docker import -c "$path" -c 'USER haproxy' \
    -c 'CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]' "$1/stand-ins.tar" haproxy:3.2-alpine
}
