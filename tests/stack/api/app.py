"""A service that answers with a row of its database."""
import os

import pymysql
from flask import Flask

GREETING = "hello"

app = Flask(__name__)


@app.get("/")
def row():
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
        connect_timeout=5,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, price FROM products ORDER BY id LIMIT 1")
        name, price = cursor.fetchone()
        cursor.execute("SELECT VERSION()")
        (server,) = cursor.fetchone()
    return {"greeting": GREETING, "name": name, "price": str(price), "server": server, "url": os.environ["API_URL"]}


app.run(host="0.0.0.0", port=8000)
