Count unread notifications and highlights by push rules in /sync, per thread where the client asks for it, and list them at /notifications.
