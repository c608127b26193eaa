Clients can refresh their access tokens (`refresh_token: true` in log-in and registration, `POST /refresh`), with lifetimes of sessions and tokens as options.
