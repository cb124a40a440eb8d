# For experiments that compare with nginx: ". lab/common.bash", then
# ". lab/nginx.bash".

# On Debian, nginx is in a folder that only root has in its PATH.
PATH=$PATH:/usr/sbin
need nginx

# nginx writes only into the experiment's temporary folder, so it need not be
# root.
nginx_conf() {
  cat <<END
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:$port backlog=4096;
    location / { return 200 "Hello, world!"; }
  }
}
END
}

# Sets $worker. nginx starts its worker after it has called listen.
has_worker() {
  worker=$(grep -l -s "^PPid:[[:space:]]*$server\$" /proc/[0-9]*/status) || true
  worker=${worker//[^0-9]/}
  [ -n "$worker" ]
}
has_worker_or_ended() { has_worker || ! kill -0 "$server"; }

# start_nginx: starts nginx with one worker, on a free port. Sets $port and
# $server, and $pid and $worker, the process that serves.
start_nginx() {
  local tries
  for tries in {1..5}; do
    port=$((10000 + RANDOM % 20000))
    nginx_conf >"$work/nginx.conf"
    nginx -p "$work" -c nginx.conf >"$work/nginx.err" 2>&1 &
    server=$!
    wait_for has_worker_or_ended || true
    if has_worker; then
      pid=$worker
      return
    fi
    stop "$server"
  done
  give_up "nginx does not start (try $tries): $(tail -n 1 "$work/nginx.err")"
}
