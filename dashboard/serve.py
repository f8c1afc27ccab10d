"""Streamlit's command, without its question to a web service for this machine's public address."""

import sys

import scipy.optimize  # noqa: F401 - the first comparison would wait a third of a second for it
from streamlit import net_util
from streamlit.web.cli import main

net_util.get_external_ip = lambda: None
if __name__ == "__main__":
    sys.exit(main())
