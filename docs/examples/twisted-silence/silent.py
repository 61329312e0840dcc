import socket

with socket.create_connection(("localhost", 8443), timeout=2) as connection:
    try:
        while connection.recv(1024):
            pass
        print("The server has closed the connection.")
    except TimeoutError:
        print("The server is still waiting.")
