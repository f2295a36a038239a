cd
sed -i 's/127.0.0.1/0.0.0.0/' settings.json
pkill -f http.server
nohup python3 clock.py > /dev/null 2>&1 < /dev/null &
