Clients can look at rooms before they join them, and walk through spaces page by page.
