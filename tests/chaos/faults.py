# SPDX-License-Identifier: Apache-2.0
"""Everything that goes wrong, in three lanes: one fault of a lane at a time, the lanes at once.

A fault breaks something, holds for a while, and mends what it broke, also when the time is over
meanwhile: hold() returns early then. Within the lane of PostgreSQL each fault ends with the pair
whole and synchronous, since only then a second one costs nothing that was acknowledged.
"""

import contextlib
import os
import signal

import processes
from postgres_pair import SqlError

# What a fault costs is unanswered scans, not time: nothing here waits for figures. Seconds that a
# fault holds, at random in between:
SHORT, LONG, LONGER = (0.2, 1.0), (1.0, 4.0), (3.0, 6.0)


class Lane:
    """`faults` by name; each is a function of the lane."""

    def __init__(self, site, name, chance, over):
        self.site, self.name, self.chance, self.over = site, name, chance, over

    def hold(self, bounds):
        self.over.wait(self.chance.uniform(*bounds))

    def node(self):
        return self.chance.choice(self.site.nodes)

    def door(self):
        return self.chance.choice(self.site.doors)


def start_again(node):
    """As whoever watches services does: a node that finds no database ends, and is started anew."""
    def is_started():
        with contextlib.suppress(AssertionError):
            return node.start()
        return None
    processes.until(is_started, 120)


# Nodes and the way to them ----------------------------------------------------------------------

def kill_node(lane):
    node = lane.node()
    node.kill()
    lane.hold(LONG)
    start_again(node)


def restart_node(lane):
    node = lane.node()
    node.stop()
    start_again(node)


def scale(lane):
    """One node more, and with it one of the others less; then back again. The first and the last
    one's devices are those that turn to the spare one."""
    spare, node = lane.site.spare, lane.chance.choice((lane.site.nodes[0], lane.site.nodes[-1]))
    start_again(spare)
    lane.hold(SHORT)
    node.stop()
    lane.hold(LONG)
    start_again(node)
    lane.hold(SHORT)
    spare.stop()


def freeze_node(lane):
    node = lane.node()
    os.kill(node.process.pid, signal.SIGSTOP)
    lane.hold(LONG)
    os.kill(node.process.pid, signal.SIGCONT)


def misbehave(lane, proxies, how, bounds):
    """What passes through goes wrong for a while; at its end every connection breaks."""
    for proxy in proxies:
        how(proxy)
    lane.hold(bounds)
    for proxy in proxies:
        proxy.become("pass")


def refuse_at_node(lane):
    misbehave(lane, [lane.door()], lambda door: door.become("refuse"), LONG)


def silence_at_node(lane):
    misbehave(lane, [lane.door()], lambda door: door.become("silent"), LONG)


def swallow_at_node(lane):
    """Requests go nowhere."""
    misbehave(lane, [lane.door()], lambda door: door.swallow(), SHORT)


def jump_clock(lane):
    """Up to four minutes: beyond five a device's time would be refused as ahead."""
    node = lane.node()
    lane.site.set_clock(node.name, f"{lane.chance.randint(-240, 240):+d}s")
    lane.hold(LONG)
    lane.site.set_clock(node.name, "+0")


# PostgreSQL -------------------------------------------------------------------------------------

def whole(lane):
    processes.until(lane.site.postgres.is_synchronous, 60)


def crash_primary(lane):
    primary = lane.site.postgres.primary
    primary.kill()
    lane.hold(SHORT)
    primary.start()
    whole(lane)


def restart_primary(lane):
    lane.site.postgres.primary.restart()
    whole(lane)


def fail_over(lane):
    """The standby takes over; the former primary comes back as its standby."""
    pair = lane.site.postgres
    pair.primary.kill()
    lane.hold(SHORT)
    pair.promote()
    lane.hold(SHORT)
    pair.rejoin()
    whole(lane)


def freeze_primary(lane):
    primary = lane.site.postgres.primary
    pids = [primary.process.pid, *processes.children(primary.process.pid)]
    try:
        processes.signal_all(pids, signal.SIGSTOP)
        lane.hold(LONG)
    finally:
        processes.signal_all(pids, signal.SIGCONT)


def lose_standby(lane):
    """Every commit waits until it is back."""
    standby = lane.site.postgres.standby
    standby.kill()
    lane.hold(LONG)
    standby.start()
    whole(lane)


def fill_disk(lane):
    """That of both servers: no table can grow, and a server that cannot write its log, or replay
    it, ends."""
    pair = lane.site.postgres
    lane.site.disk.fill()
    try:
        lane.hold(LONGER)
    finally:
        lane.site.disk.relieve()

    def is_whole():
        for server in pair.servers:
            if not server.is_running:
                server.start()
        return pair.is_synchronous()
    processes.until(is_whole, 120)


def end_sessions(lane):
    with contextlib.suppress(SqlError):
        lane.site.postgres.primary.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turnout'")


COMMIT = b"COMMIT"  # the name of the nodes' prepared statement, on the wire


def cut_database(lane):
    misbehave(lane, lane.site.links.values(), lambda link: link.become("refuse"), LONG)


def lose_commits(lane):
    """Commits never reach the server: a node that guesses how they ended is wrong."""
    misbehave(lane, lane.site.links.values(), lambda link: link.swallow(COMMIT), LONG)


def lose_answers_of_commits(lane):
    """Commits are carried out and nobody hears of it: only the nonce knows."""
    misbehave(lane, lane.site.links.values(), lambda link: link.deafen(COMMIT), LONG)


# Redis ------------------------------------------------------------------------------------------

def kill_redis(lane):
    """One of the six; it comes back with nothing."""
    node = lane.chance.choice(lane.site.redis.nodes)
    node.kill()
    lane.hold(LONG)
    node.start()


def freeze_redis(lane):
    node = lane.chance.choice(lane.site.redis.nodes)
    node.signal(signal.SIGSTOP)
    lane.hold(LONG)
    node.signal(signal.SIGCONT)


def freeze_all_redis(lane):
    for node in lane.site.redis.nodes:
        node.signal(signal.SIGSTOP)
    lane.hold(SHORT)
    for node in lane.site.redis.nodes:
        node.signal(signal.SIGCONT)


def wipe_redis(lane):
    for primary in lane.site.redis.primaries():
        with contextlib.suppress(Exception):
            primary.cli("FLUSHALL")


LANES = {
    "nodes": (kill_node, restart_node, scale, freeze_node, refuse_at_node, silence_at_node,
              swallow_at_node, jump_clock),
    "postgres": (crash_primary, restart_primary, fail_over, freeze_primary, lose_standby, fill_disk,
                 end_sessions, cut_database, lose_commits, lose_answers_of_commits),
    "redis": (kill_redis, freeze_redis, freeze_all_redis, wipe_redis),
}
FAULTS = {fault.__name__: (lane, fault) for lane, faults in LANES.items() for fault in faults}
