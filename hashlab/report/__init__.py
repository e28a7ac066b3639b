"""Shows runs and documents to people, and saves records. Only this package imports rich."""

from hashlab.report.base import Report, Silent, make_report
from hashlab.report.boxes import show_boxes
from hashlab.report.debug import DebugScreen
from hashlab.report.deployment import show_deployment
from hashlab.report.doctor import show_checks
from hashlab.report.events import event_text, show_events
from hashlab.report.forward import ForwardScreen
from hashlab.report.images import show_images
from hashlab.report.intercept import InterceptScreen
from hashlab.report.logs import LogScreen, LogStyle
from hashlab.report.lookups import show_lookups
from hashlab.report.ps import show_containers
from hashlab.report.record import save_record
from hashlab.report.rounds import Round, Rounds, round_report
from hashlab.report.snapshots import show_snapshots
from hashlab.report.status import StatusScreen, show_status
from hashlab.report.summary import show_error, show_result

__all__ = [
    "DebugScreen",
    "ForwardScreen",
    "InterceptScreen",
    "LogScreen",
    "LogStyle",
    "Report",
    "Round",
    "Rounds",
    "Silent",
    "StatusScreen",
    "event_text",
    "make_report",
    "round_report",
    "save_record",
    "show_boxes",
    "show_checks",
    "show_containers",
    "show_deployment",
    "show_error",
    "show_events",
    "show_images",
    "show_lookups",
    "show_result",
    "show_snapshots",
    "show_status",
]
