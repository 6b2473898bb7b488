CREATE TABLE IF NOT EXISTS products (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL, price DECIMAL(8, 2) NOT NULL);
INSERT IGNORE INTO products VALUES (1, 'a pot of tea', 3.50), (2, 'a slice of cake', 4.20);
