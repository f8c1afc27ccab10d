"""Streamlit's command, without its question to a web service for this machine's public address."""

import sys
import threading

from streamlit import net_util
from streamlit.web.cli import main

net_util.get_external_ip = lambda: None


def warm_up() -> None:
    """Load what the first comparison would wait for."""
    import scipy

    scipy.special, scipy.optimize  # noqa: B018 - they load when they are named


if __name__ == "__main__":
    threading.Thread(target=warm_up, daemon=True).start()
    sys.exit(main())
