#!/bin/sh
# Starts what docker-compose.yml has in its profiles:
#
#   start-redis.sh replicated [PRIMARY]    a primary, or a replica of PRIMARY, until Sentinels say otherwise
#   start-redis.sh sentinel
#   start-redis.sh cluster                 a node of a Cluster
#   start-redis.sh form-cluster HOST:PORT… makes nodes a Cluster, each primary with one replica, unless they are one
#
# The password comes by files: arguments and environment can be read from outside.
set -eu
umask 077
password=$(cat /run/secrets/redis_password)

# The configuration of a server, from these files.
configuration() {
    cat "$@"
    echo "requirepass $password"
    echo "masterauth $password"
}

case $1 in
replicated)
    # Sentinels have the servers write down who is the primary. All else is written anew.
    if [ -e /data/redis.conf ]; then
        role=$(grep '^replicaof ' /data/redis.conf || true)
    else
        role=${2:+replicaof $2 6379}
    fi
    configuration /etc/redis/redis.conf /etc/redis/redis-replicated.conf >/data/redis.conf.new
    echo "$role" >>/data/redis.conf.new
    mv /data/redis.conf.new /data/redis.conf
    exec redis-server /data/redis.conf
    ;;
sentinel)
    # Only once: afterwards the file holds what the Sentinel has learned.
    if [ ! -e /data/sentinel.conf ]; then
        cat /etc/redis/sentinel.conf >/data/sentinel.conf.new
        echo "requirepass $password" >>/data/sentinel.conf.new
        echo "sentinel auth-pass relatch $password" >>/data/sentinel.conf.new
        mv /data/sentinel.conf.new /data/sentinel.conf
    fi
    exec redis-server /data/sentinel.conf --sentinel
    ;;
cluster)
    exec redis-server - <<END
$(configuration /etc/redis/redis.conf /etc/redis/redis-cluster.conf)
END
    ;;
form-cluster)
    shift
    export REDISCLI_AUTH="$password"
    ask() { redis-cli -h "${node%:*}" -p "${node##*:}" "$@"; }
    # A node that knows nobody else is not part of a Cluster yet.
    node=$1
    if ! ask cluster info | grep -q '^cluster_known_nodes:1.$'; then exit 0; fi
    redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
    # Nodes hear of each other by and by, and a replica is of no use before it has the data.
    for _ in $(seq 60); do
        ready=0
        for node; do
            case $(ask cluster info && ask info replication) in
            *cluster_state:ok*cluster_known_nodes:$#*master_link_status:up* | \
                *cluster_state:ok*cluster_known_nodes:$#*state=online*) ready=$((ready + 1)) ;;
            esac
        done
        if [ "$ready" = $# ]; then exit 0; fi
        sleep 1
    done
    echo "start-redis.sh: of $# nodes only $ready are ready after a minute" >&2
    exit 1
    ;;
*)
    echo "start-redis.sh: replicated, sentinel, cluster or form-cluster, not $1" >&2
    exit 2
    ;;
esac
