#!/usr/bin/env bash
# containerd_calls.sh EXAMPLE REST, on a throwaway host: containers by containerd with the
# configuration in EXAMPLE and our plugins, those that we do not have from REST.  What was seen is
# left in /run/results/*.said.
set -eux
results=/run/results
mkdir -p /opt/cni/bin /etc/cni/net.d
cp "$results"/bin/* /opt/cni/bin
[ -e /opt/cni/bin/portmap ] || ln -s "$2/portmap" /opt/cni/bin
cp "$1"/*.conflist /etc/cni/net.d
export CNIFAST_SERVICE=off
containerd --config="$1/config.toml" --root=/run/containerd-root --state=/run/containerd-state \
    --address=/run/containerd.sock >"$results/containerd.log" 2>&1 &
for _ in $(seq 200); do
    [ ! -S /run/containerd.sock ] || break
    sleep 0.1
done
run() {
    local name=$1
    shift
    ctr --address=/run/containerd.sock run --rm --cni --rootfs "$results/rootfs" "$name" "$@"
}
run one /bin/sh -c '/bin/ip addr show eth0; echo ---; /bin/ip route' >"$results/both"
sed '/^---$/,$d' "$results/both" >"$results/addresses.said"
sed '1,/^---$/d' "$results/both" >"$results/routes.said"
run two /bin/ip addr show eth0 >"$results/next.said"
ls /var/lib/cni/networks/cnifast >"$results/held.said"
ip -br link show type veth >"$results/links.said"
touch "$results/done"
