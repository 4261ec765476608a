#!/usr/bin/env bash
# Builds the ingress-nginx controller image without any image registry.
# Usage: build.sh OUT.tar   (see README.md; run as root on Debian 12)
# Writes OUT.tar (docker save format) and, beside it, ingress-nginx-CHART.tgz;
# the image also stays in the local docker daemon.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
module=k8s.io/ingress-nginx
uid=101 gid=82 # www-data, as in the upstream image and the chart
packages=(
  nginx nginx-common libnginx-mod-stream
  libnginx-mod-http-ndk libnginx-mod-http-lua libnginx-mod-http-set-misc
  libnginx-mod-http-headers-more-filter
  libnginx-mod-http-brotli-filter libnginx-mod-http-brotli-static
  lua-resty-core lua-resty-lrucache lua-cjson
  libc6 libcrypt1 libpcre2-8-0 libpcre3 libssl3 zlib1g libluajit2-5.1-2
  libgcc-s1 libbrotli1
  dumb-init diffutils busybox-static bash libtinfo6 # the controller runs bash, diff, ...
  procps libproc2-0 libsystemd0 liblz4-1 liblzma5 libzstd1 libcap2 libgcrypt20
  libgpg-error0                                     # ... pgrep and pkill
  libmimalloc2.0                                    # the chart sets LD_PRELOAD to it
)
nginx_modules=(ndk_http ngx_http_lua ngx_http_set_misc ngx_http_headers_more_filter ngx_stream)

step() { echo "==> $*"; }
die() { echo "build.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || die "usage: build.sh OUT.tar"
[ "$(id -u)" -eq 0 ] || die "must run as root (chroot, setcap)"
for tool in go helm docker apt-get dpkg-deb setcap; do
  command -v $tool >/dev/null || die "$tool is not on PATH"
done
out=$(realpath -m "$1")
mkdir -p "$(dirname "$out")"

cd "$here"
export GOWORK=off CGO_ENABLED=0
export GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false} -mod=readonly"
go mod download $module
src=$(go list -m -f '{{.Dir}}' $module)
field() { sed -n "s/^$1: *//p" "$src/charts/ingress-nginx/Chart.yaml"; }
image=registry.k8s.io/ingress-nginx/controller:v$(field appVersion)
chart=$(dirname "$out")/ingress-nginx-$(field version).tgz

inputs=$({ cat build.sh go.mod go.sum tools.go smoke.lua stream.tmpl lua/resty/*.lua lua/resty/*/*.lua && go env GOVERSION; } | sha256sum)
if [ -s "$out" ] && [ -s "$chart" ] && [ "$(cat "$out.inputs" 2>/dev/null)" = "$inputs" ]; then
  step "$out and $chart are up to date"
  exit 0
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root

step "downloading ${#packages[@]} Debian packages"
[ "$(. /etc/os-release; echo "$VERSION_ID")" = 12 ] || die "not Debian 12: check the package list"
mkdir "$tmp/debs"
download() { (cd "$tmp/debs" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}"); }
download || { step "once more with fresh package lists" && apt-get -qq update && download; }

step "unpacking them"
mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
for d in bin sbin lib lib64; do ln -s usr/$d "$root/$d"; done
for deb in "$tmp"/debs/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
done
rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,bash-completion} "$root"/usr/lib/*/gconv \
  "$root"/etc/{nginx,init.d,default,logrotate.d,ufw,skel,cron*,*.d} "$root"/usr/lib/systemd
for applet in $("$root/bin/busybox" --list); do
  [ -e "$root/bin/$applet" ] || [ -e "$root/sbin/$applet" ] || ln -s busybox "$root/bin/$applet"
done

step "building the controller from $module"
ldflags="-s -w -X $module/version.RELEASE=v$(field appVersion) -X $module/version.COMMIT=${src##*-} -X $module/version.REPO=$module"
for cmd in nginx:nginx-ingress-controller dbg:dbg waitshutdown:wait-shutdown; do
  nice go build -ldflags "$ldflags" -o "$root/${cmd#*:}" "$module/cmd/${cmd%:*}"
done

step "laying out /etc/nginx"
etc=$root/etc/nginx
mkdir -p "$etc"
for f in mime.types fastcgi_params; do
  dpkg-deb --fsys-tarfile "$tmp"/debs/nginx-common_*.deb | tar -xO "./etc/nginx/$f" >"$etc/$f"
done
cp -r "$src/rootfs/etc/nginx/." "$etc"
chmod -R u+w "$etc"
rm -r "$etc/lua/test" "$etc/lua/plugins/hello_world/test"
ln -s /usr/lib/nginx/modules "$etc/modules"
mkdir -p "$root/usr/local/share/lua/5.1"
cp -r lua/resty "$root/usr/local/share/lua/5.1/"

# Debian's nginx is 1.22 with modules to load; the template is for 1.25 with all
# of them compiled in. Each of these edits must find its place.
tmpl=$etc/template/nginx.tmpl
edit() { # a sed expression that must change the template
  cp "$tmpl" "$tmp/before"
  sed -i -E "$1" "$tmpl"
  ! cmp -s "$tmp/before" "$tmpl" || die "template edit found nothing to change: $1"
}
loads=$(printf 'load_module /etc/nginx/modules/%s_module.so;\\n' "${nginx_modules[@]}")
edit "s|^pid \{\{ .PID \}\};|&\n\n$loads|"
edit '/^ *http2 on;$/d'
# "http2 on" is new in 1.25.1: before, http2 is an option of listen.
edit 's/\{\{ buildHTTPSListener +\$all \$server\.Hostname \}\}/{{ range $l := split (buildHTTPSListener $all $server.Hostname) ";" }}{{ if trimSpace $l }}{{ $l }}{{ if $all.Cfg.UseHTTP2 }} http2{{ end }};{{ end }}{{ end }}/'
edit '/^stream \{/,/^\}/c\@STREAM@'
edit "/@STREAM@/{r stream.tmpl
d}"

step "making users, directories and links"
echo "root:x:0:0:root:/root:/bin/sh
www-data:x:$uid:$gid:www-data:/etc/nginx:/sbin/nologin" >"$root/etc/passwd"
echo "root:x:0:
www-data:x:$gid:" >"$root/etc/group"
ln -s ../sbin/nginx "$root/usr/bin/nginx"
mkdir -p "$root/usr/local/lib"
mimalloc=$(echo "$root"/usr/lib/*/libmimalloc.so.2)
[ -e "$mimalloc" ] || die "no libmimalloc.so.2"
ln -s "${mimalloc#"$root"}" "$root/usr/local/lib/libmimalloc.so"
mkdir -p "$root"/{proc,sys,dev,root,run} "$root"/etc/ingress-controller/{ssl,auth,geoip,telemetry} \
  "$root"/var/log/nginx "$root"/var/lib/nginx "$root"/tmp/nginx
chmod 1777 "$root/tmp"
ln -s /dev/stdout "$root/var/log/nginx/access.log"
ln -s /dev/stderr "$root/var/log/nginx/error.log"
chown -R $uid:$gid "$root"/etc/{nginx,ingress-controller} "$root"/var/{log,lib/nginx} "$root/tmp/nginx"

step "smoke: libraries resolve, Lua loads, binaries run"
ld=$(find "$root/usr" "$root/lib64/" -name 'ld-linux*.so*' -printf '%f\n' -quit)
for f in "$root"/usr/sbin/nginx "$root"/usr/bin/{dumb-init,bash,diff,pkill} \
  "$root"/usr/lib/nginx/modules/*.so "$root"/usr/lib/*/lua/5.1/cjson.so; do
  [ -e "$f" ] || die "missing: ${f#"$root"}"
  chroot "$root" "/lib64/$ld" --list "${f#"$root"}" >"$tmp/ldd" || die "$(cat "$tmp/ldd")"
done
mknod -m 666 "$root/dev/null" c 1 3
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
chroot "$root" /nginx-ingress-controller --version
cp smoke.lua "$root/tmp/smoke.lua"
{
  printf "$loads"
  echo 'pid /tmp/nginx/smoke.pid; error_log stderr; daemon off; events {} http { access_log off;'
  echo 'lua_package_path "/etc/nginx/lua/?.lua;;";'
  sed -n '/defaultLuaSharedDicts *=/,/}/s/^[[:space:]]*"\([a-z_]*\)".*/lua_shared_dict \1 1M;/p' \
    "$src/internal/ingress/controller/template/configmap.go"
  echo 'init_by_lua_file /tmp/smoke.lua; }'
} >"$root/tmp/smoke.conf"
timeout 60 chroot --userspec=$uid:$gid "$root" /usr/bin/nginx -c /tmp/smoke.conf
rm -rf "$root"/dev/null "$root"/etc/resolv.conf "$root"/tmp/smoke.* "$root"/tmp/nginx/* "$root"/var/lib/nginx/*

step "packing the image $image"
# The chart drops all capabilities but this one; www-data gets it from the files.
setcap cap_net_bind_service=+ep "$root/nginx-ingress-controller"
setcap cap_net_bind_service=+ep "$root/usr/sbin/nginx"
setcap cap_net_bind_service=+ep "$root/usr/bin/dumb-init"
old=$(docker image ls -q "$image")
tar -C "$root" --xattrs --xattrs-include=security.capability --numeric-owner --sort=name -c . |
  docker import \
    --change 'ENTRYPOINT ["/usr/bin/dumb-init","--"]' \
    --change 'CMD ["/nginx-ingress-controller"]' \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'WORKDIR /etc/nginx' \
    --change 'USER www-data' \
    --change 'EXPOSE 80 443' \
    - "$image"
[ -z "$old" ] || docker image rm "$old" >/dev/null 2>&1 || true # else it stays untagged

step "packing the chart"
cp -r "$src/charts/ingress-nginx" "$tmp/ingress-nginx"
chmod -R u+w "$tmp/ingress-nginx"
helm package "$tmp/ingress-nginx" -d "$(dirname "$out")"

step "writing $out"
docker save "$image" >"$out.tmp"
mv "$out.tmp" "$out"
echo "$inputs" >"$out.inputs"
ls -l "$out" "$chart"
