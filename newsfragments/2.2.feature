`slctl` starts, stops, watches and configures a server, and generates nginx's configuration from the endpoints' declarations.
