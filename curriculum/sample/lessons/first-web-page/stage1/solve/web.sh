cd ~/www
cat > style.css <<'END'
body {
  background: ivory;
}

a {
  font-weight: bold;
}
END
sed -i 's|</head>|  <link rel="stylesheet" href="style.css">\n  </head>|' index.html
