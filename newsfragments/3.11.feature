Users can let another client in with a login token (`POST /login/get_token`, `login_via_existing_session`), and other services can ask who they are (OpenID tokens).
