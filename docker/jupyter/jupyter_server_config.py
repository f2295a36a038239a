"""Jupyter for one learner of one lesson.

Who may connect is decided outside: by the lesson's network policies, and by a host name that
cannot be guessed. So Jupyter asks for no token, and its page may be part of the front end's.
"""

import os

c = get_config()  # noqa: F821  (Jupyter defines it)

c.ServerApp.ip = "0.0.0.0"  # noqa: S104
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.allow_remote_access = True
c.ServerApp.root_dir = os.environ.get("SYRINGE_GUIDES", "/antidote")
c.ServerApp.terminals_enabled = False
c.ServerApp.quit_button = False
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.hashed_password = ""
# In a frame of another site's page browsers send no cookies, the one against forgery included.
c.ServerApp.disable_check_xsrf = True
c.ServerApp.tornado_settings = {
    "headers": {
        "Content-Security-Policy": "frame-ancestors "
        + os.environ.get("SYRINGE_FRAME_ANCESTORS", "*")
    }
}
