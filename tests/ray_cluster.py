"""A local Ray cluster in a process of its own: a head without cores, two nodes with one each.

Prints the address, ends a node without warning at the line `kill`, and all at the end of stdin.
"""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

SIZE = {"object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}
SOON = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500}
"""When the head asks whether a node is alive; five answers that fail are a loss."""

HEAD = {"num_cpus": 0, "include_dashboard": False, "_system_config": SOON, **SIZE}

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    nodes = [cluster.add_node(num_cpus=1, **SIZE) for _ in range(2)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line == "kill\n":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()
