Administrators can lock and suspend accounts (`/admin/lock`, `/admin/suspend`) and see where users come from (`/admin/whois`).
