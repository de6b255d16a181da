"""Celery: how a process says "look now" to another (architecture: Celery, precisely).

Two messages, ``undercast.run`` with an operation's id and ``undercast.look`` without anything.
They carry no truth: each may be lost, repeated or late. No results, no countdowns, early
acknowledgement; gossip, mingle and remote control are off.
"""

from celery import Celery

from db.settings import settings

RUN = "undercast.run"
LOOK = "undercast.look"

# A consumer blocks in Redis for a second at a time, so its socket must outlast that.
CONSUMER_TRANSPORT = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    "health_check_interval": 5,
}
# A producer never waits for Redis: the hint is dropped, and polling finds the work.
PRODUCER_TRANSPORT = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2, "max_retries": 0}


def make_app() -> Celery:
    """Celery of this process."""
    app = Celery("undercast", broker=settings().redis_url.get_secret_value(), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_create_missing_queues=True,
        worker_prefetch_multiplier=64,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_transport_options=CONSUMER_TRANSPORT,
        broker_pool_limit=2,
    )
    return app
