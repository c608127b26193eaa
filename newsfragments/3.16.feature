Users can complete stages of user-interactive authentication on a web page (`/auth/{stage}/fallback/web`).
